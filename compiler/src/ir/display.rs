//! IR as text, for `-d ir` and goldens.
