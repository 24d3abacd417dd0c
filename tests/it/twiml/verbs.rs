//! The rows of `pivot.md` §7: verb, attribute, default, limit, bad value.

use serde_json::json;

use super::{SAID, about, document, over};
use crate::flow::{SECOND, took, type_in};

#[test]
fn say_is_spoken_as_often_as_loop_says() {
    document(
        json!({}),
        "<Say loop=\"3\">Ten chars.</Say>",
        |stage, _phone, call| async move {
            let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
            about(ms, 3 * SAID);
            stage.world.at_rest().await;
        },
    );
}

#[test]
fn say_for_ever_ends_with_a_terminator() {
    document(
        json!({}),
        "<Say loop=\"0\" terminators=\"5\">Ten chars.</Say>",
        |stage, phone, call| async move {
            tokio::time::sleep(5 * SECOND).await;
            type_in(&phone, &call, "45").await;
            over(&stage, &call).await;
        },
    );
}
