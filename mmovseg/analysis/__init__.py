"""What the tools measure and report: speed, run cards, leaderboard, validation."""
