"""What others ask burstd: people through ``burst``, the agents of its stand-ins, dashboards."""
