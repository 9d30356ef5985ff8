"""Port ``LicenceSource`` by a licence server's own status command, or by the configuration."""
