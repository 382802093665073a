-- The demo's warehouse in SQLite. STRICT tables refuse values of the wrong type, as other databases do.
-- Money is whole cents, so that no cent is lost to a floating point number.

CREATE TABLE IF NOT EXISTS airport (
    iata TEXT NOT NULL PRIMARY KEY CHECK (length(iata) BETWEEN 3 AND 4),
    name TEXT NOT NULL,
    city TEXT NOT NULL,
    state TEXT NOT NULL CONSTRAINT state_is_a_code_of_two_letters CHECK (length(state) = 2),
    latitude REAL NOT NULL CONSTRAINT latitude_is_on_earth CHECK (latitude BETWEEN -90 AND 90),
    longitude REAL NOT NULL CONSTRAINT longitude_is_on_earth CHECK (longitude BETWEEN -180 AND 180)
) STRICT;

CREATE TABLE IF NOT EXISTS strike (
    id TEXT NOT NULL PRIMARY KEY,
    flown_on TEXT NOT NULL CONSTRAINT flown_on_is_a_day CHECK (flown_on IS date(flown_on)),
    airport TEXT NOT NULL REFERENCES airport (iata),
    operator TEXT NOT NULL,
    aircraft TEXT NOT NULL,
    phase TEXT NOT NULL,
    time_of_day TEXT NOT NULL,
    species TEXT NOT NULL,
    size TEXT NOT NULL CONSTRAINT size_is_known CHECK (size IN ('Small', 'Medium', 'Large')),
    damage TEXT CONSTRAINT damage_is_a_known_class CHECK (damage IN ('Minor', 'Medium', 'Substantial')),
    speed_kmh REAL,
    repair_cents INTEGER NOT NULL CHECK (repair_cents >= 0),
    other_cents INTEGER NOT NULL CHECK (other_cents >= 0),
    total_cents INTEGER NOT NULL CONSTRAINT total_is_the_sum CHECK (total_cents = repair_cents + other_cents),
    CONSTRAINT no_repair_without_damage CHECK (repair_cents = 0 OR damage IS NOT NULL),
    CONSTRAINT flying_aircraft_moves CHECK (speed_kmh > 0 OR phase NOT IN ('Climb', 'Descent', 'Approach')),
    CONSTRAINT one_report_of_a_strike UNIQUE (airport, operator, flown_on, aircraft, species, time_of_day, phase)
) STRICT;

CREATE TABLE IF NOT EXISTS earthquake (
    id TEXT NOT NULL PRIMARY KEY,
    place TEXT NOT NULL,
    happened_at TEXT NOT NULL,
    magnitude REAL NOT NULL CHECK (magnitude BETWEEN -5 AND 10),
    scale TEXT NOT NULL,
    longitude REAL NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    latitude REAL NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    depth_km REAL NOT NULL CHECK (depth_km BETWEEN -10 AND 800),
    misfit_s REAL NOT NULL CHECK (misfit_s >= 0)
) STRICT;

CREATE TABLE IF NOT EXISTS sighting (
    id TEXT NOT NULL PRIMARY KEY,
    seen_on TEXT NOT NULL CONSTRAINT seen_on_is_a_day CHECK (seen_on IS date(seen_on)),
    place TEXT NOT NULL,
    species TEXT NOT NULL,
    size TEXT NOT NULL CONSTRAINT size_of_animal_is_known CHECK (size IN ('Small', 'Medium', 'Large')),
    animals INTEGER NOT NULL CONSTRAINT animals_were_there CHECK (animals BETWEEN 1 AND 1000)
) STRICT;

-- The shop: what it sells, to whom, and what becomes of an order.

CREATE TABLE IF NOT EXISTS article (
    number TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    price_cents INTEGER NOT NULL CHECK (price_cents >= 0),
    stock INTEGER NOT NULL CONSTRAINT stock_is_not_below_zero CHECK (stock >= 0)
) STRICT;

CREATE TABLE IF NOT EXISTS customer (
    number TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    limit_cents INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS loyalty_card (
    number TEXT NOT NULL PRIMARY KEY,
    customer TEXT NOT NULL REFERENCES customer (number)
) STRICT;

CREATE TABLE IF NOT EXISTS customer_order (
    number TEXT NOT NULL PRIMARY KEY,
    ordered_on TEXT NOT NULL CONSTRAINT ordered_on_is_a_day CHECK (ordered_on IS date(ordered_on)),
    customer TEXT NOT NULL REFERENCES customer (number),
    article TEXT NOT NULL REFERENCES article (number),
    quantity INTEGER NOT NULL CONSTRAINT quantity_is_above_zero CHECK (quantity > 0)
) STRICT;

CREATE TABLE IF NOT EXISTS reservation (
    order_number TEXT NOT NULL PRIMARY KEY,
    article TEXT NOT NULL REFERENCES article (number),
    quantity INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS shortage (
    order_number TEXT NOT NULL PRIMARY KEY,
    article TEXT NOT NULL REFERENCES article (number),
    quantity INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS waiting_order (
    order_number TEXT NOT NULL PRIMARY KEY REFERENCES customer_order (number),
    article TEXT NOT NULL,
    why TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS invoice (
    order_number TEXT NOT NULL PRIMARY KEY REFERENCES customer_order (number),
    amount_cents INTEGER NOT NULL CONSTRAINT amount_is_above_zero CHECK (amount_cents > 0),
    limit_cents INTEGER NOT NULL,
    CONSTRAINT amount_is_within_the_credit_limit CHECK (amount_cents <= limit_cents)
) STRICT;

CREATE TABLE IF NOT EXISTS rejected_order (
    order_number TEXT NOT NULL PRIMARY KEY,
    customer TEXT NOT NULL,
    amount_cents INTEGER NOT NULL,
    why TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS loyalty_points (
    order_number TEXT NOT NULL PRIMARY KEY REFERENCES customer_order (number),
    card TEXT NOT NULL REFERENCES loyalty_card (number),
    points INTEGER NOT NULL
) STRICT;
