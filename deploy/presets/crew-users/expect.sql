-- Every row that comes back is something that is not as it should be.
WITH expected (what) AS (
    VALUES
        ('user Administrator - Administrator - - admin'),
        ('user ada.king@crew.example ada.king@crew.example Ada Moreau - Crew Admin admin'),
        ('user noa@crew.example noa@crew.example Noa Lind - - -'),
        ('framework Administrator'),
        ('framework ada.king@crew.example'),
        ('permission Administrator Vessel'),
        ('permission ada.king@crew.example Port'),
        ('permission ada.king@crew.example Vessel'),
        ('notification ada.king@crew.example Administrator'),
        ('device ada.king@crew.example t-ada'),
        ('order ben@crew.example PO-1'),
        ('request ben@crew.example REQ-1'),
        ('comment ben@crew.example Rope has come'),
        ('version ada@crew.example renamed'),
        ('version ben@crew.example deleted'),
        ('version ida@crew.example deleted'),
        ('letter crew-009 protected_user'),
        ('letter crew-010 protected_user'),
        ('letter crew-011 protected_user'),
        ('warning crew-008 sync_warning'),
        ('degraded noa@crew.example ["phone"]'),
        ('degraded administrator ["email"]'),
        ('mail crew-012 password_reset not sent'),
        ('mail crew-013 welcome not sent')
),
found (what) AS (
    SELECT concat_ws(
        ' ', 'user', name, coalesce(email, '-'), full_name, coalesce(phone, '-'), coalesce(role_profile, '-'),
        CASE WHEN is_admin THEN 'admin' ELSE '-' END
    )
    FROM crew.users
    UNION ALL
    SELECT 'framework ' || name FROM crew."user"
    UNION ALL
    SELECT concat_ws(' ', 'permission', "user", allow) FROM crew.permissions
    UNION ALL
    SELECT concat_ws(' ', 'session', "user", sid) FROM crew.sessions
    UNION ALL
    SELECT concat_ws(' ', 'notification', from_user, for_user) FROM crew.notifications
    UNION ALL
    SELECT concat_ws(' ', 'device', "user", token) FROM crew.device_tokens
    UNION ALL
    SELECT concat_ws(' ', 'order', owner, name) FROM crew.purchase_orders
    UNION ALL
    SELECT concat_ws(' ', 'request', owner, name) FROM crew.requests
    UNION ALL
    SELECT concat_ws(' ', 'comment', owner, content) FROM crew.comments
    UNION ALL
    SELECT concat_ws(' ', 'version', docname, what) FROM crew.versions
    UNION ALL
    SELECT concat_ws(' ', 'letter', event_id, reason) FROM rollcall.dead_letters
    UNION ALL
    SELECT concat_ws(' ', 'warning', event_id, cascades -> 'crew.user' ->> 'note')
    FROM rollcall.ledger WHERE cascades -> 'crew.user' ->> 'note' IS NOT NULL
    UNION ALL
    SELECT concat_ws(' ', 'degraded', user_id, degraded::text) FROM rollcall.profiles WHERE degraded::text <> '[]'
    UNION ALL
    SELECT concat_ws(' ', 'mail', event_id, kind, CASE WHEN sent_at IS NULL THEN 'not sent' ELSE 'sent' END)
    FROM rollcall.mails WHERE event_id IN ('crew-012', 'crew-013')
)
SELECT 'missing: ' || what FROM (SELECT what FROM expected EXCEPT SELECT what FROM found) AS missing
UNION ALL
SELECT 'surplus: ' || what FROM (SELECT what FROM found EXCEPT SELECT what FROM expected) AS surplus
UNION ALL
SELECT 'twice: ' || what FROM found GROUP BY what HAVING count(*) > 1;
