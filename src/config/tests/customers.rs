//! Where customers are looked for: names become parts of statements.

use super::rules::assert_rules;

#[test]
fn rules_of_customers() {
    assert_rules(
        "[customers]",
        &[
            (
                "profile_type = \"staff\"",
                "\"profile_type\" in [customers] names \"staff\", which is no configured profile type: name one of \"client\"",
            ),
            (
                "lookup = \"table\"",
                "\"lookup\" in [customers] is \"table\", and no table is given",
            ),
            (
                "table = \"crm\"",
                "\"table\" in [customers] is given, and nobody is looked for in it",
            ),
            (
                "lookup = \"table\"\ntable = \"a;b\"",
                "\"table\" in [customers] is \"a;b\", which is no \"table\" and no \"schema.table\"",
            ),
            (
                "lookup = \"table\"\ntable = \"a.b.c\"",
                "which is no \"table\" and no \"schema.table\"",
            ),
            (
                "lookup = \"table\"\ntable = \"Profiles\"",
                "which is none of the application's",
            ),
            (
                "lookup = \"table\"\ntable = \"sqlite_schema\"",
                "which is none of the application's",
            ),
            (
                "id_column = \"7up\"",
                "\"id_column\" in [customers] is \"7up\", which is no plain name",
            ),
            ("email_column = \"e\\\"mail\"", "which is no plain name"),
            (
                "name_column = \"\"",
                "\"name_column\" in [customers] is \"\", which is no plain name",
            ),
            (
                "create = true",
                "\"create\" in [customers] is true, and nobody is looked for",
            ),
            (
                "create_columns = { a = \"b\" }",
                "is given, and no customer is made: give create = true",
            ),
            (
                "lookup = \"own\"\ncreate = true\ncreate_columns = { a = \"b\" }",
                "\"create_columns\" in [customers] is for a table of the application",
            ),
            (
                "lookup = \"table\"\ntable = \"crm\"\ncreate = true\ncreate_columns = { a = \"{name}\" }",
                "gives \"a\" a text with braces or control characters in it: use {uuid}, {email}",
            ),
            (
                "lookup = \"table\"\ntable = \"crm\"\ncreate = true\ncreate_columns = { id = \"1\" }",
                "gives every customer the same \"id\": put {uuid} into it",
            ),
        ],
    );
    assert_rules(
        "[mail]",
        &[(
            "welcome_to = \"customer\"",
            "\"welcome_to\" in [mail] is \"customer\", and no user is ever linked to a customer: give lookup in [customers]",
        )],
    );
    assert_rules(
        "[[profiles]]\ntype = \"a\"",
        &[(
            "requires = [\"tax_id\"]",
            "\"requires\" in [[profiles]] is given, and no user is ever linked to a customer: give lookup in [customers]",
        )],
    );
}
