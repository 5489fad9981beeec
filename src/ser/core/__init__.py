"""What every stage stands on: errors, atomic files, plugins, paths, and the tables that pass between stages."""
