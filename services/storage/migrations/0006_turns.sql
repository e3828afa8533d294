-- The next job of each hospital, for workers that take one in turn.
CREATE INDEX jobs_in_turn ON jobs (state, priority, attempt, tenant_id, id);
