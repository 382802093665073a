-- The demo's warehouse in PostgreSQL, in the first schema of the search path.
-- Money is whole cents, as in the SQLite warehouse, so that both hold the same values.

CREATE TABLE IF NOT EXISTS airport (
    iata text PRIMARY KEY CHECK (length(iata) BETWEEN 3 AND 4),
    name text NOT NULL,
    city text NOT NULL,
    state text NOT NULL CONSTRAINT state_is_a_code_of_two_letters CHECK (length(state) = 2),
    latitude double precision NOT NULL CONSTRAINT latitude_is_on_earth CHECK (latitude BETWEEN -90 AND 90),
    longitude double precision NOT NULL CONSTRAINT longitude_is_on_earth CHECK (longitude BETWEEN -180 AND 180)
);

CREATE TABLE IF NOT EXISTS strike (
    id uuid PRIMARY KEY,
    flown_on date NOT NULL,
    airport text NOT NULL REFERENCES airport (iata),
    operator text NOT NULL,
    aircraft text NOT NULL,
    phase text NOT NULL,
    time_of_day text NOT NULL,
    species text NOT NULL,
    size text NOT NULL CONSTRAINT size_is_known CHECK (size IN ('Small', 'Medium', 'Large')),
    damage text CONSTRAINT damage_is_a_known_class CHECK (damage IN ('Minor', 'Medium', 'Substantial')),
    speed_kmh double precision,
    repair_cents bigint NOT NULL CHECK (repair_cents >= 0),
    other_cents bigint NOT NULL CHECK (other_cents >= 0),
    total_cents bigint NOT NULL CONSTRAINT total_is_the_sum CHECK (total_cents = repair_cents + other_cents),
    CONSTRAINT no_repair_without_damage CHECK (repair_cents = 0 OR damage IS NOT NULL),
    CONSTRAINT flying_aircraft_moves CHECK (speed_kmh > 0 OR phase NOT IN ('Climb', 'Descent', 'Approach')),
    CONSTRAINT one_report_of_a_strike UNIQUE (airport, operator, flown_on, aircraft, species, time_of_day, phase)
);

CREATE TABLE IF NOT EXISTS earthquake (
    id text PRIMARY KEY,
    place text NOT NULL,
    happened_at timestamptz NOT NULL,
    magnitude double precision NOT NULL CHECK (magnitude BETWEEN -5 AND 10),
    scale text NOT NULL,
    longitude double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    latitude double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    depth_km double precision NOT NULL CHECK (depth_km BETWEEN -10 AND 800),
    misfit_s double precision NOT NULL CHECK (misfit_s >= 0)
);

CREATE TABLE IF NOT EXISTS sighting (
    id text PRIMARY KEY,
    seen_on date NOT NULL,
    place text NOT NULL,
    species text NOT NULL,
    size text NOT NULL CONSTRAINT size_of_animal_is_known CHECK (size IN ('Small', 'Medium', 'Large')),
    animals integer NOT NULL CONSTRAINT animals_were_there CHECK (animals BETWEEN 1 AND 1000)
);

-- The shop: what it sells, to whom, and what becomes of an order.

CREATE TABLE IF NOT EXISTS article (
    number text PRIMARY KEY,
    name text NOT NULL,
    price_cents bigint NOT NULL CHECK (price_cents >= 0),
    stock integer NOT NULL CONSTRAINT stock_is_not_below_zero CHECK (stock >= 0)
);

CREATE TABLE IF NOT EXISTS customer (
    number text PRIMARY KEY,
    name text NOT NULL,
    limit_cents bigint NOT NULL
);

CREATE TABLE IF NOT EXISTS loyalty_card (
    number text PRIMARY KEY,
    customer text NOT NULL REFERENCES customer (number)
);

CREATE TABLE IF NOT EXISTS customer_order (
    number text PRIMARY KEY,
    ordered_on date NOT NULL,
    customer text NOT NULL REFERENCES customer (number),
    article text NOT NULL REFERENCES article (number),
    quantity integer NOT NULL CONSTRAINT quantity_is_above_zero CHECK (quantity > 0)
);

CREATE TABLE IF NOT EXISTS reservation (
    order_number text PRIMARY KEY,
    article text NOT NULL REFERENCES article (number),
    quantity integer NOT NULL
);

CREATE TABLE IF NOT EXISTS shortage (
    order_number text PRIMARY KEY,
    article text NOT NULL REFERENCES article (number),
    quantity integer NOT NULL
);

CREATE TABLE IF NOT EXISTS waiting_order (
    order_number text PRIMARY KEY REFERENCES customer_order (number),
    article text NOT NULL,
    why text NOT NULL
);

CREATE TABLE IF NOT EXISTS invoice (
    order_number text PRIMARY KEY REFERENCES customer_order (number),
    amount_cents bigint NOT NULL CONSTRAINT amount_is_above_zero CHECK (amount_cents > 0),
    limit_cents bigint NOT NULL,
    CONSTRAINT amount_is_within_the_credit_limit CHECK (amount_cents <= limit_cents)
);

CREATE TABLE IF NOT EXISTS rejected_order (
    order_number text PRIMARY KEY,
    customer text NOT NULL,
    amount_cents bigint NOT NULL,
    why text NOT NULL
);

CREATE TABLE IF NOT EXISTS loyalty_points (
    order_number text PRIMARY KEY REFERENCES customer_order (number),
    card text NOT NULL REFERENCES loyalty_card (number),
    points integer NOT NULL
);
