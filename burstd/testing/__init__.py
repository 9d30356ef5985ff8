"""What plugin authors and our own tests stand on: simulators and the contracts they all keep."""
