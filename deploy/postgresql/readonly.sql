-- A role for Metabase, Grafana and people that can read the mine_ views of the ledger (docs/mining.md) and nothing else.
-- Run once as the owner of the database or a superuser, in the ledger's database, after the bookkeeper has run; repeatable:
--   psql -d scanpost -f readonly.sql
--   psql -d scanpost -c '\password scanpost_reader'
-- If your mining.extra_tags hold no patient data: GRANT SELECT ON phi_tags TO scanpost_reader;

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'scanpost_reader') THEN
    CREATE ROLE scanpost_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT;
  END IF;
  EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$$;

-- What it may read is said by the grants below; these two keep a forgotten dashboard from harming the bookkeeper.
ALTER ROLE scanpost_reader SET default_transaction_read_only = on;
ALTER ROLE scanpost_reader SET statement_timeout = '30s';

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM scanpost_reader;
GRANT USAGE ON SCHEMA public TO scanpost_reader;
GRANT SELECT ON mine_series, mine_studies, mine_deliveries, mine_images_per_hour, mine_dose_reports, mine_dose_events
  TO scanpost_reader;
