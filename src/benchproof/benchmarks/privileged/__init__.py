"""Operations that need a capability; starting one is put on record."""
