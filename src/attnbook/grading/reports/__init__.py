"""What people read: marks, feedback, the instructor's report."""
