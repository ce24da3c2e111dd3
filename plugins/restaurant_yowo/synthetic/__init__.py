"""The embedded restaurant: a rendered counter, whose paired actions differ in direction alone."""
