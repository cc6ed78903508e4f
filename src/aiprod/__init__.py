"""AIPROD: a data-versioned pipeline from licensed film to a text-to-video-with-audio model."""
