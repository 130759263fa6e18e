"""What the commands do, by their names; imported when their options are right."""
