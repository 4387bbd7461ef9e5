-- admits: 6
-- Another order or scoring of a board that has segments: the segments are made with the
-- rankings that they are of. Servers of the version before refuse such a refold.

-- The season that a ranking is of, whole or in a segment: the other way round of segment_season.
CREATE FUNCTION whole_season(number int) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN number >= 0 THEN number
        WHEN (-number::bigint >> 10) > 2097152 - 65536 THEN (1073741824 + 2097152 - (-number::bigint >> 10))::int
        ELSE (-number::bigint >> 10)::int END
$$;
