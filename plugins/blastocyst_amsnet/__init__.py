"""Early prediction of blastocysts from multi-focus time-lapse video by AMSNet: see README.md here."""
