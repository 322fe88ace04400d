"""What the warehouse is to hold after loads, told in another way than it is done."""

import json

NOTED = ("event_name", "start_time", "end_time", "status")
COUNTS = "rows_inserted, rows_updated, rows_unchanged, rows_removed"
TAGS = "SELECT e.id, t.value FROM events__tags t LEFT JOIN events e ON t._dlt_parent_id = e._dlt_id"
NOTES = "SELECT id, change, field, old_value, new_value, seen_at FROM event_changes"

COLUMNS = "SELECT event_columns FROM scan_receipts ORDER BY _dlt_load_id DESC LIMIT 1"


class Model:
    """Events by their ids with their marks, the notes of changes, and the rows set aside."""

    def __init__(self):
        self.rows, self.first, self.changed, self.removed = {}, {}, {}, {}
        self.log, self.aside = [], []

    def merge(self, came, at):
        """Takes rows that came at a time; how many are inserted, updated, and unchanged."""
        inserted, updated, unchanged = 0, 0, 0
        for key, row in came.items():
            before = self.rows.get(key)
            if before is None:
                inserted += 1
                self.first[key] = self.changed[key] = at
                self.log.append((key, "arrived", None, None, None, at))
            elif before == row and key not in self.removed:
                unchanged += 1
            else:
                updated += 1
                if self.removed.pop(key, None):
                    self.log.append((key, "returned", None, None, None, at))
                if before != row:
                    self.changed[key] = at
                for name in NOTED:
                    if before.get(name) != row.get(name):
                        noted = (before.get(name), row.get(name))
                        self.log.append((key, "changed", name, *map(in_utc, noted), at))
            self.rows[key] = row
        return inserted, updated, unchanged

    def load(self, rows, at, is_full=True):
        """Takes a complete answer, or one of what changed; the counts of its receipt."""
        came = by_id(rows)
        bad = {json.dumps(row): row for row in rows if "id" not in row}
        self.aside = [row for row in self.aside if row not in bad.values()] + [*bad.values()]
        counts = self.merge(came, at)
        gone = self.rows.keys() - came.keys() - self.removed.keys() if is_full else set()
        for key in gone:
            self.removed[key] = at
            self.log.append((key, "removed", None, None, None, at))
        return *counts, len(gone)

    def is_held(self, rows):
        """Compares all that the warehouse holds; `rows` gives those of a query."""
        keys = sorted(self.rows)
        marks = [(key, self.first[key], self.changed[key], self.removed.get(key)) for key in keys]
        for table in ("events", "event_versions"):
            marked = f"SELECT id, _first_seen_at, _changed_at, _removed_at FROM {table} ORDER BY id"
            assert rows(marked) == marks
        wanted = [self.rows[key] for key in keys]
        found = rows("SELECT id, event_name, status, price FROM events ORDER BY id")
        assert found == [(r["id"], r["event_name"], r["status"], r["price"]) for r in wanted]
        assert sorted(rows(TAGS)) == [(row["id"], tag) for row in wanted for tag in row["tags"]]
        assert sorted(rows(NOTES), key=str) == sorted(self.log, key=str)
        current = [(key,) for key in keys if key not in self.removed]
        assert rows("SELECT id FROM current_events ORDER BY id") == current
        if current:
            assert json.loads(rows(COLUMNS)[0][0])["rows"] == len(current)
        if self.aside:
            found = rows("SELECT document FROM quarantined_events")
            assert sorted(found) == sorted((json.dumps(row),) for row in self.aside)


def by_id(rows):
    """Events in the version that came last."""
    return {row["id"]: row for row in rows if "id" in row}


def in_utc(value):
    return value.replace("+00:00", "Z") if value and value.endswith("+00:00") else value
