//! What users have in the tables of the application.

use anyhow::Result;

use crate::presets::Preset;

/// Every table of the application with a column for users, as rows `(owner, what)`.
pub(super) const CREW: &str = "(SELECT name AS owner, 'user' AS what FROM crew.\"user\" \
     UNION ALL SELECT \"user\", 'permission ' || allow FROM crew.permissions \
     UNION ALL SELECT \"user\", 'session' FROM crew.sessions \
     UNION ALL SELECT from_user, 'sent' FROM crew.notifications \
     UNION ALL SELECT for_user, 'received' FROM crew.notifications \
     UNION ALL SELECT \"user\", 'device' FROM crew.device_tokens \
     UNION ALL SELECT owner, 'order' FROM crew.purchase_orders \
     UNION ALL SELECT owner, 'request' FROM crew.requests \
     UNION ALL SELECT owner, 'comment' FROM crew.comments \
     UNION ALL SELECT docname, 'version ' || what FROM crew.versions)";

impl Preset {
    /// Gives a user one of everything, and two permissions.
    pub(super) async fn furnish(&self, user: &str) -> Result<()> {
        let rows = format!(
            "INSERT INTO crew.\"user\" (name) VALUES ('{user}'); \
             INSERT INTO crew.permissions (\"user\", allow, for_value) \
             VALUES ('{user}', 'Port', 'Brest'), ('{user}', 'Vessel', 'Aurora'); \
             INSERT INTO crew.sessions VALUES ('s {user}', '{user}'); \
             INSERT INTO crew.notifications (from_user, for_user, subject) \
             VALUES ('{user}', 'somebody', 'x'), ('somebody', '{user}', 'x'); \
             INSERT INTO crew.device_tokens VALUES ('t {user}', '{user}'); \
             INSERT INTO crew.purchase_orders VALUES ('PO {user}', '{user}', 7); \
             INSERT INTO crew.requests VALUES ('REQ {user}', '{user}', 'Rope'); \
             INSERT INTO crew.comments (owner, content) VALUES ('{user}', 'Rope has come')"
        );
        self.base().script(&rows).await
    }

    /// What a user has, by its sorted names.
    pub(super) async fn belongings(&self, user: &str) -> Result<Vec<String>> {
        let theirs = format!("{CREW} AS belongings WHERE owner = '{user}'");
        self.base().lines(&["what"], &theirs).await
    }
}
