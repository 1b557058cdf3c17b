-- The ledger of one participant of the demo, in the first schema of the search path.
-- Called by: demo/ledger.rs, at the start of every participant process, under an advisory lock.
-- amends itself never reads these tables; only the audit does.

-- What this participant did to the world: one row an effect, never changed.
create table if not exists effect (
  seq bigint generated always as identity primary key,
  kind text not null,
  booking text not null,
  key text not null,
  subject text not null,
  amount_cents bigint not null,
  call integer not null,
  at timestamptz not null default clock_timestamp()
);
create index if not exists effect_booking on effect (booking, kind);
create index if not exists effect_key on effect (key);

-- The first answer under each idempotency key, errors that are replayed included.
create table if not exists answer (
  key text primary key,
  tool text not null,
  arguments jsonb not null,
  failed boolean not null,
  body jsonb not null,
  at timestamptz not null default clock_timestamp()
);

-- Calls that were accepted, and whose effect is made when it is due.
create table if not exists accepted (
  key text primary key,
  kind text not null,
  booking text not null,
  subject text not null,
  amount_cents bigint not null,
  call integer not null,
  due_at timestamptz not null
);

-- Records whose undoing came before the deed: the deed is refused from then on.
create table if not exists tombstone (
  booking text not null,
  kind text not null,
  primary key (booking, kind)
);

-- How often each tool was called for each booking; the draw of faults depends on it.
create table if not exists call (
  tool text not null,
  booking text not null,
  calls integer not null,
  primary key (tool, booking)
);

-- The faults that were injected.
create table if not exists fault (
  seq bigint generated always as identity primary key,
  kind text not null,
  tool text not null,
  booking text not null,
  key text not null,
  call integer not null,
  at timestamptz not null default clock_timestamp()
);
create index if not exists fault_booking on fault (booking);
