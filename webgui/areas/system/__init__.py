"""System: programs, disk, database, versions, support bundle. It must not know what programs do."""
