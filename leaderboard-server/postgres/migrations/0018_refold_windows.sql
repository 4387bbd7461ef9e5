-- admits: 6
-- Another order or scoring of a board that has windows: with the ranking of all time the
-- seasons that are not closed get rankings of the new fold, under numbers that were given to
-- no season. The transaction that gives the board the new fold gives these numbers to the
-- seasons. Servers of the version before refuse such a refold, and find the new numbers in
-- window_seasons.

-- The highest number that a refold has taken of those that seasons of a board's windows are
-- given; no row: none. None is given twice.
CREATE TABLE season_numbers (
    board int PRIMARY KEY REFERENCES boards,
    last  int NOT NULL
);

CREATE FUNCTION next_season_number(of_board int) RETURNS int LANGUAGE sql SET search_path FROM CURRENT AS $$
    INSERT INTO season_numbers AS n (board, last)
    SELECT of_board, coalesce(max(s.number), 1) + 1 FROM window_seasons s WHERE s.board = of_board
    ON CONFLICT (board) DO UPDATE SET last = greatest(n.last + 1, excluded.last)
    RETURNING last
$$;

-- Whoever announces a season takes the number after the highest one that a season has.
CREATE FUNCTION number_season() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM season_numbers n WHERE n.board = NEW.board AND n.last >= NEW.number) THEN
        NEW.number := next_season_number(NEW.board);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER number_season BEFORE INSERT ON window_seasons FOR EACH ROW EXECUTE FUNCTION number_season();

-- The seasons of windows for which a refold that is under way makes rankings.
CREATE TABLE refold_seasons (
    board  int NOT NULL REFERENCES boards,
    -- The number of the season, and that of its new ranking.
    season int NOT NULL,
    made   int NOT NULL,
    PRIMARY KEY (board, season),
    UNIQUE (board, made)
);

-- A refold that is given up, by whatever version, or begins again, leaves nothing behind.
CREATE FUNCTION retire_refold_seasons() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    WITH dropped AS (DELETE FROM refold_seasons WHERE board = OLD.board RETURNING made)
    INSERT INTO retired_rankings (board, season, board_order, scoring) SELECT OLD.board, made, OLD.board_order, OLD.scoring FROM dropped;
    RETURN NULL;
END $$;
CREATE TRIGGER retire_refold_seasons AFTER DELETE OR UPDATE OF season ON refolds FOR EACH ROW EXECUTE FUNCTION retire_refold_seasons();

CREATE TRIGGER raise_boards_version AFTER INSERT OR DELETE ON refold_seasons FOR EACH ROW EXECUTE FUNCTION raise_boards_version();
