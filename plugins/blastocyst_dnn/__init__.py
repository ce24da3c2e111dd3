"""Cleavage-stage blastocyst prediction from time-lapse images (Wang, Fan, Li et al.): see README.md here."""
