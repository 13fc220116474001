-- All of a volume. `NAME` stands for the schema's quoted name. Changing this file takes a new VERSION in schema.rs.

CREATE SCHEMA NAME;

-- Keys are compared byte by byte. `version` is the number of the commit that wrote the pair.
CREATE TABLE NAME.pairs (k bytea PRIMARY KEY, v bytea NOT NULL, version bigint NOT NULL);

-- Exactly one row. Rows that are written all the time are given room to be written in place.
CREATE TABLE NAME.commits (number bigint NOT NULL) WITH (fillfactor = 10);
INSERT INTO NAME.commits VALUES (0);

CREATE TABLE NAME.slots (
    id bigint PRIMARY KEY,
    number bigint NOT NULL,
    closed boolean NOT NULL DEFAULT false,
    used timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE FUNCTION NAME.evidence_holds(
    seen_k bytea[], seen_version bigint[],
    range_first bytea[], range_last bytea[], range_count bigint[], range_newest bigint[]
) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    found record;
BEGIN
    IF EXISTS (
        SELECT FROM unnest(seen_k, seen_version) AS seen(k, version)
        LEFT JOIN NAME.pairs AS now USING (k)
        WHERE coalesce(now.version, 0) <> seen.version
    ) THEN
        RETURN false;
    END IF;
    FOR i IN 1 .. cardinality(range_first) LOOP
        SELECT count(*) AS count, coalesce(max(version), 0) AS newest INTO found
        FROM NAME.pairs WHERE k >= range_first[i] AND k < range_last[i];
        IF found.count <> range_count[i] OR found.newest > range_newest[i] THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END $$;

-- The first row is the number of the last commit; no row at all: what was read before no longer holds. A stable function
-- sees what was there when its caller's statement began, in all its steps.
CREATE FUNCTION NAME.read_keys(
    moment bigint, seen_k bytea[], seen_version bigint[],
    range_first bytea[], range_last bytea[], range_count bigint[], range_newest bigint[],
    wanted bytea[]
) RETURNS TABLE (k bytea, v bytea, version bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    latest bigint := (SELECT number FROM NAME.commits);
BEGIN
    IF latest <> moment AND NOT NAME.evidence_holds(
        seen_k, seen_version, range_first, range_last, range_count, range_newest
    ) THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT NULL::bytea, NULL::bytea, latest;
    RETURN QUERY SELECT pairs.k, pairs.v, pairs.version FROM NAME.pairs WHERE pairs.k = ANY (wanted);
END $$;

CREATE FUNCTION NAME.read_range(
    moment bigint, seen_k bytea[], seen_version bigint[],
    range_first bytea[], range_last bytea[], range_count bigint[], range_newest bigint[],
    wanted_first bytea, wanted_last bytea, count_max bigint, backward boolean
) RETURNS TABLE (k bytea, v bytea, version bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    latest bigint := (SELECT number FROM NAME.commits);
BEGIN
    IF latest <> moment AND NOT NAME.evidence_holds(
        seen_k, seen_version, range_first, range_last, range_count, range_newest
    ) THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT NULL::bytea, NULL::bytea, latest;
    IF backward THEN
        RETURN QUERY SELECT pairs.k, pairs.v, pairs.version FROM NAME.pairs
            WHERE pairs.k >= wanted_first AND pairs.k < wanted_last ORDER BY pairs.k DESC LIMIT count_max;
    ELSE
        RETURN QUERY SELECT pairs.k, pairs.v, pairs.version FROM NAME.pairs
            WHERE pairs.k >= wanted_first AND pairs.k < wanted_last ORDER BY pairs.k LIMIT count_max;
    END IF;
END $$;

CREATE FUNCTION NAME.reversed(b bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT substr(b, 8, 1) || substr(b, 7, 1) || substr(b, 6, 1) || substr(b, 5, 1)
        || substr(b, 4, 1) || substr(b, 3, 1) || substr(b, 2, 1) || substr(b, 1, 1)
$$;

CREATE FUNCTION NAME.number(b bytea) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT ('x' || encode(NAME.reversed(b), 'hex'))::bit(64)::bigint
$$;

-- What an update makes of a value. `+` adds as 64-bit numbers do, beyond their ends as well; `m` keeps the greater.
CREATE FUNCTION NAME.updated(base bytea, kind "char", operand bytea, key bytea, value_bytes_max integer)
RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF kind = 'a' THEN
        IF coalesce(length(base), 0) + length(operand) > value_bytes_max THEN
            RAISE EXCEPTION USING ERRCODE = 'SH001',
                MESSAGE = format('an append makes a value of %s bytes', coalesce(length(base), 0) + length(operand));
        END IF;
        RETURN coalesce(base, '') || operand;
    END IF;
    IF base IS NULL THEN
        base := '\x0000000000000000';
    ELSIF length(base) <> 8 THEN
        RAISE EXCEPTION USING ERRCODE = 'SH002',
            MESSAGE = format('the counter %s holds %s bytes instead of 8', encode(key, 'escape'), length(base));
    END IF;
    IF kind = 'm' THEN
        RETURN CASE WHEN NAME.reversed(operand) > NAME.reversed(base) THEN operand ELSE base END;
    END IF;
    -- 2^64 + 2^63, 2^64 and 2^63: so that the remainder is taken of a positive number.
    RETURN NAME.reversed(int8send((
        (NAME.number(base)::numeric + NAME.number(operand) + 27670116110564327424) % 18446744073709551616
        - 9223372036854775808
    )::bigint));
END $$;

-- `done`, `moved`, or `slot`: the slot is closed, or not there. Everything else is an error, and then nothing is done.
CREATE FUNCTION NAME.commit(
    slot_id bigint, slot_number bigint,
    moment bigint, seen_k bytea[], seen_version bigint[],
    range_first bytea[], range_last bytea[], range_count bigint[], range_newest bigint[],
    clear_first bytea[], clear_last bytea[], delete_k bytea[], put_k bytea[], put_v bytea[],
    update_k bytea[], update_kind "char"[], update_operand bytea[], value_bytes_max integer,
    stamped_k bytea[], stamped_v bytea[]
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    latest bigint;
    this_commit bigint;
    base bytea;
BEGIN
    -- Each statement from here on sees what was committed before it began: all that came before this commit.
    PERFORM pg_advisory_xact_lock('NAME.commits'::regclass::bigint);
    latest := (SELECT number FROM NAME.commits);
    this_commit := latest + 1;
    IF NOT EXISTS (SELECT FROM NAME.slots WHERE id = slot_id AND NOT closed) THEN
        RETURN 'slot';
    END IF;
    IF latest <> moment AND NOT NAME.evidence_holds(
        seen_k, seen_version, range_first, range_last, range_count, range_newest
    ) THEN
        RETURN 'moved';
    END IF;
    FOR i IN 1 .. cardinality(clear_first) LOOP
        DELETE FROM NAME.pairs WHERE k >= clear_first[i] AND k < clear_last[i];
    END LOOP;
    IF cardinality(delete_k) > 0 THEN
        DELETE FROM NAME.pairs WHERE k = ANY (delete_k);
    END IF;
    IF cardinality(put_k) > 0 THEN
        INSERT INTO NAME.pairs SELECT new.k, new.v, this_commit FROM unnest(put_k, put_v) AS new(k, v)
        ON CONFLICT (k) DO UPDATE SET v = excluded.v, version = excluded.version;
    END IF;
    FOR i IN 1 .. cardinality(update_k) LOOP
        base := (SELECT v FROM NAME.pairs WHERE k = update_k[i]);
        base := NAME.updated(base, update_kind[i], update_operand[i], update_k[i], value_bytes_max);
        INSERT INTO NAME.pairs VALUES (update_k[i], base, this_commit)
        ON CONFLICT (k) DO UPDATE SET v = excluded.v, version = excluded.version;
    END LOOP;
    FOR i IN 1 .. cardinality(stamped_k) LOOP
        INSERT INTO NAME.pairs VALUES (stamped_k[i] || int8send(this_commit) || '\x0000', stamped_v[i], this_commit)
        ON CONFLICT (k) DO UPDATE SET v = excluded.v, version = excluded.version;
    END LOOP;
    IF cardinality(stamped_k) > 0 THEN
        -- Heard by others when this is visible.
        PERFORM pg_notify(trim(BOTH '"' FROM 'NAME'), '');
    END IF;
    UPDATE NAME.commits SET number = this_commit;
    UPDATE NAME.slots SET number = slot_number, used = now() WHERE id = slot_id;
    -- The locks go with the commit; the disk is waited for by the statement that follows.
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN 'done';
END $$;

-- The number of the last commit under the slot, under which there will be no other; no row for a slot that is not there.
CREATE FUNCTION NAME.close_slot(slot_id bigint) RETURNS SETOF bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    -- After any commit under it that has begun.
    PERFORM pg_advisory_xact_lock('NAME.commits'::regclass::bigint);
    RETURN QUERY UPDATE NAME.slots SET closed = true, used = now() WHERE id = slot_id RETURNING number;
END $$;

CREATE FUNCTION NAME.schema_version() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT VERSION';
