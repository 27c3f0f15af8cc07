"""Everything outside Python."""
