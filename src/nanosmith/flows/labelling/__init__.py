"""The parts of labelling by teachers: who is asked, what is kept, and in which order."""
