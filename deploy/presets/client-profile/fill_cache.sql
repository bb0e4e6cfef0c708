-- What the ERP has in its cache after it has read every profile.
INSERT INTO erp_cache (key, value)
SELECT 'Client Profile::' || "user", client_name || ', ' || profile_status FROM "tabClient Profile"
ON CONFLICT (key) DO UPDATE SET value = excluded.value;
