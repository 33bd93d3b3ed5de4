"""Event configurations, one TOML a source; ``client.ehr.config`` says what they mean."""
