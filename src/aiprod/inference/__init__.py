"""Text, first frame or video to video with sound."""
