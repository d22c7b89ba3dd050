"""The history of the routing configuration: versions, differences, rollback, import, export."""
