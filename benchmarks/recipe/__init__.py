"""What each part of the retraining recipe ``modern`` brings, on held-out images."""
