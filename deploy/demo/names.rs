//! The people and organisations of the demo.

pub(crate) const FIRST: [&str; 40] = [
    "Ada", "Amir", "Anouk", "Bela", "Bram", "Carla", "Chidi", "Clara", "Daan", "Dina", "Elif", "Emil", "Farah",
    "Felix", "Greta", "Hugo", "Ilse", "Imani", "Ivo", "Jana", "Jonas", "Kaya", "Lars", "Leila", "Malik", "Mira",
    "Nadia", "Noor", "Olga", "Oskar", "Petra", "Rafael", "Rosa", "Sami", "Selma", "Tomás", "Ulla", "Viktor", "Yara",
    "Zoë",
];

pub(crate) const LAST: [&str; 60] = [
    "Abara",
    "Adler",
    "Almeida",
    "Aydın",
    "Baker",
    "Bauer",
    "Becker",
    "Brandt",
    "Castro",
    "Cohen",
    "Conti",
    "Dekker",
    "Demir",
    "Diallo",
    "Dubois",
    "Eriksen",
    "Farkas",
    "Ferrari",
    "Fischer",
    "Fontaine",
    "García",
    "Gruber",
    "Haddad",
    "Hansen",
    "Hoffmann",
    "Horvat",
    "Ivanova",
    "Jansen",
    "Jensen",
    "Kaplan",
    "Keller",
    "Kovács",
    "Laurent",
    "Lindqvist",
    "Lopes",
    "Marin",
    "Meyer",
    "Molnár",
    "Nagy",
    "Nielsen",
    "Novak",
    "Okafor",
    "Olsen",
    "Pereira",
    "Petrov",
    "Quinn",
    "Rahman",
    "Richter",
    "Rossi",
    "Sato",
    "Schmid",
    "Silva",
    "Sørensen",
    "Tanaka",
    "Tóth",
    "Vargas",
    "Vogel",
    "Weber",
    "Wolff",
    "Zhang",
];

/// Names that people take in the course of the year; nobody comes with one of them.
pub(crate) const MARRIED: [&str; 16] = [
    "Albers", "Bianchi", "Carter", "Durand", "Engel", "Falk", "Girard", "Hartmann", "Iversen", "Krüger", "Lemaire",
    "Moretti", "Noble", "Ortega", "Peeters", "Sommer",
];

/// Key and name of the organisations that users join and leave.
pub(crate) const ORGANIZATIONS: [(&str, &str); 12] = [
    ("harbour-books", "Harbour Books"),
    ("quiet-mills", "The Quiet Mills"),
    ("tall-pines", "Tall Pines Nursery"),
    ("north-quay", "North Quay Shipping"),
    ("blue-door", "Blue Door Bakery"),
    ("old-observatory", "Friends of the Old Observatory"),
    ("sunday-press", "Sunday Press"),
    ("copper-lane", "Copper Lane Cycles"),
    ("green-kettle", "Green Kettle Tea"),
    ("paper-moon", "Paper Moon Theatre"),
    ("salt-marsh", "Salt Marsh Brewery"),
    ("winter-garden", "Winter Garden Society"),
];

/// A name as the source writes it in keys and addresses: lower case, without accents.
pub(crate) fn plain(name: &str) -> String {
    name.chars()
        .flat_map(char::to_lowercase)
        .map(|letter| match letter {
            'á' | 'å' | 'ä' => 'a',
            'é' | 'ë' => 'e',
            'í' | 'ı' => 'i',
            'ó' | 'ö' | 'ø' => 'o',
            'ú' | 'ü' => 'u',
            other => other,
        })
        .collect()
}
