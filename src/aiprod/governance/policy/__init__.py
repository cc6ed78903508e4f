"""Who may do what, which sources the policy approves, and where policy and facts conflict."""
