//! Conflicts: options that are of no use without others that are missing.

use super::about::About;
use super::args::Args;
use super::table::TABLE;
use super::values::usage;
use crate::error::StartError;

impl About {
    /// Makes sure that no option is about it if it is not there.
    ///
    /// # Errors
    /// [`StartError::Usage`], of the first option that is.
    pub fn check(self, args: &Args) -> Result<(), StartError> {
        if self.is_there(args) {
            return Ok(());
        }
        let given = |key| !args.given(key).is_empty();
        match TABLE.iter().find(|row| row.about == self && given(row.key)) {
            Some(row) => {
                let (other, why) = self.missing();
                let why = why.replace("{option}", &format!("--{}", row.key));
                usage([row.key, other], format!("--{} {why}", row.key))
            }
            None => Ok(()),
        }
    }
}
