"""From one source to the notebooks of students and instructors."""
