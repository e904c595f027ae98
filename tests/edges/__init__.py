"""What real sites send and really store: one test for every case that was met, and others of its kind."""
