"""Intent, users, outbox and audit."""

from alembic import op

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    email text, phone text, street text, city text, zip text, state text,
    created timestamptz NOT NULL DEFAULT now(),
    changed timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX customers_email ON customers (lower(email)) WHERE email IS NOT NULL;
CREATE INDEX customers_name ON customers (lower(name), id);

CREATE TABLE plans (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    description text NOT NULL DEFAULT '',
    download_kbps bigint NOT NULL CHECK (download_kbps BETWEEN 8 AND 100000000),
    upload_kbps bigint NOT NULL CHECK (upload_kbps BETWEEN 8 AND 100000000),
    download_burst_kbit bigint, upload_burst_kbit bigint,
    price numeric(10, 2) NOT NULL DEFAULT 0 CHECK (price >= 0),
    is_active boolean NOT NULL DEFAULT true,
    created timestamptz NOT NULL DEFAULT now(),
    changed timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE access_nodes (
    bng_id text NOT NULL,
    remote_id text NOT NULL,
    ports integer NOT NULL,
    access_model text NOT NULL,
    PRIMARY KEY (bng_id, remote_id)
);

CREATE TABLE services (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    plan_id bigint NOT NULL REFERENCES plans,
    bng_id text NOT NULL, remote_id text NOT NULL, circuit_id text NOT NULL,
    status text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'SUSPENDED', 'TERMINATED')),
    billing_start date NOT NULL DEFAULT current_date,
    created timestamptz NOT NULL DEFAULT now(),
    changed timestamptz NOT NULL DEFAULT now()
);
-- a port carries one service at a time; what was terminated stays as history
CREATE UNIQUE INDEX services_live_port ON services (bng_id, remote_id, circuit_id)
    WHERE status <> 'TERMINATED';
CREATE INDEX services_customer ON services (customer_id);
CREATE INDEX services_plan ON services (plan_id);

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    is_active boolean NOT NULL DEFAULT true,
    created timestamptz NOT NULL DEFAULT now(),
    last_login timestamptz
);
CREATE TABLE web_sessions (
    token_hash bytea PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    expires timestamptz NOT NULL,
    address text, user_agent text
);
CREATE INDEX web_sessions_expires ON web_sessions (expires);
CREATE TABLE api_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    expires timestamptz, last_used timestamptz
);

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created timestamptz NOT NULL DEFAULT now(),
    destination text NOT NULL CHECK (destination IN ('radius', 'network')),
    subject text NOT NULL,
    summary text NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered')),
    depends_on bigint REFERENCES outbox ON DELETE SET NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT now(),
    delivered timestamptz,
    error text,
    results jsonb NOT NULL DEFAULT '[]',
    username text, request_id text
);
CREATE INDEX outbox_pending ON outbox (destination, id) WHERE state = 'pending';
CREATE INDEX outbox_subject ON outbox (subject, id);

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time timestamptz NOT NULL DEFAULT now(),
    username text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    before jsonb, after jsonb,
    request_id text
);
"""


def upgrade() -> None:
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute(
        "DROP TABLE audit_log, outbox, api_tokens, web_sessions, users, services, access_nodes, plans, "
        "customers"
    )
