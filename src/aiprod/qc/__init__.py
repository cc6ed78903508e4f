"""Quality control: measure every clip in one decode, decide later."""
