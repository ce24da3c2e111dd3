"""The real datasets: CamVid, Cityscapes and recordings of AirSim. Users bring them; the frames stay where they lie."""
