use super::*;
use crate::domain::name_rows;
use crate::domain::tests::{policy, world};

#[test]
fn one_person_at_one_key_is_not_folded_twice() {
    let mut stored = world(&policy(), &["created ada", "joined ada org=acme"]);
    let mut minted = 0;
    name_rows(&mut stored, &mut || {
        minted += 1;
        Uuid::from_u128(minted)
    });
    let after = Fold {
        world: world(&policy(), &["created ada phone=1", "joined ada org=acme"]),
        ..Fold::default()
    };
    let settled = settle_rows(after, &stored, || panic!("there is nobody else to be matched"));
    assert!(settled.world.row_names().eq(stored.row_names()));
    assert_eq!(settled.world.row_names().count(), 3);
}
