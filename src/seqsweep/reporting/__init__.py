"""What people look at: tables and views, read from the stores only."""
