//! What is configured of the application's tables, as the steps that follow it.

use crate::config::{self, Config};
use crate::domain::cascade::{Field, KeyKind, OnLeave, OnRename, Piece, Rule, Template};
use crate::store::cascade::{AuditRule, Expect, Need, StepRule};

/// The application's tables that hold a key of users.
pub fn steps(config: &Config) -> Vec<StepRule> {
    config.cascades.iter().map(step).collect()
}

fn step(cascade: &config::Cascade) -> StepRule {
    StepRule {
        name: cascade.name.clone(),
        schema: cascade.schema.clone(),
        table: cascade.table.clone(),
        column: cascade.column.clone(),
        rule: Rule {
            key: match cascade.key {
                config::CascadeKey::UserId => KeyKind::UserId,
                config::CascadeKey::Email => KeyKind::Email,
                config::CascadeKey::Username => KeyKind::Username,
            },
            on_rename: match cascade.on_rename {
                config::OnRename::Rewrite => OnRename::Rewrite,
                config::OnRename::Delete => OnRename::Delete,
                config::OnRename::Nullify => OnRename::Nullify,
                config::OnRename::Keep => OnRename::Keep,
            },
            on_leave: match cascade.on_delete {
                config::OnLeave::Delete => OnLeave::Delete,
                config::OnLeave::Nullify => OnLeave::Nullify,
                config::OnLeave::Anonymise => OnLeave::Anonymise,
                config::OnLeave::Keep => OnLeave::Keep,
                config::OnLeave::Restrict => OnLeave::Restrict,
            },
        },
        need: need(cascade.required),
        expect: if cascade.expect_rows {
            Expect::Rows
        } else {
            Expect::Nothing
        },
    }
}

fn need(is_required: bool) -> Need {
    if is_required { Need::Required } else { Need::Optional }
}

/// The application's tables that get a row for every rename and deletion.
pub fn audits(config: &Config) -> Vec<AuditRule> {
    let rule = |audit: &config::Audit| AuditRule {
        name: audit.name.clone(),
        schema: audit.schema.clone(),
        table: audit.table.clone(),
        columns: audit.columns.iter().map(|column| column.column.clone()).collect(),
        templates: audit.columns.iter().map(|column| template(&column.pieces)).collect(),
        need: need(audit.required),
    };
    config.audits.iter().map(rule).collect()
}

fn template(pieces: &[config::Piece]) -> Template {
    let piece = |piece: &config::Piece| match piece {
        config::Piece::Text(text) => Piece::Text(text.clone()),
        // The names were checked with the configuration.
        config::Piece::Field(name) => Field::from_name(name).map_or(Piece::Text(String::new()), Piece::Field),
    };
    Template(pieces.iter().map(piece).collect())
}
