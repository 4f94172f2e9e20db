//! A question put to the source, with its pages gathered.

use super::app::asks::{Answer, Question};
use super::source::{Result, SessionQuery, Source, SourceError};
use std::time::Duration;

/// A page of people online, and how many of them are listed at most.
const PAGE: usize = 1_000;
const MOST_ONLINE: usize = 10_000;
/// Open sessions that are listed at most, and ended ones.
const OPEN: usize = 1_000;
const ENDED: usize = 500;
/// Rows of the log that are looked up.
const ACTIVITIES: usize = 500;
/// Busiest actions, as many as the largest terminal shows.
const ACTIONS: usize = 50;

/// No source needs so long; one that does is as good as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks, and gives up after a while.
///
/// # Errors
/// As the source says, or it does not answer.
pub async fn ask(source: &dyn Source, question: Question) -> Result<Answer> {
    match tokio::time::timeout(PATIENCE, answer(source, question)).await {
        Ok(answer) => answer,
        Err(_) => Err(SourceError::Lost(format!(
            "no answer in {} seconds",
            PATIENCE.as_secs()
        ))),
    }
}

async fn answer(source: &dyn Source, question: Question) -> Result<Answer> {
    Ok(match question {
        Question::Overview(zone) => Answer::Overview(source.overview(zone).await?),
        Question::Figures(zone) => Answer::Figures(source.session_figures(zone).await?),
        Question::Series(zone) => Answer::Series(source.online_series(zone).await?),
        Question::Actions(zone) => Answer::Actions(source.busiest_actions(zone, ACTIONS).await?),
        Question::Heatmap(zone) => Answer::Heatmap(Box::new(source.heatmap(zone).await?)),
        Question::Online => online(source).await?,
        Question::Why(username) => Answer::Why(Box::new(source.why(&username).await?)),
        Question::Sessions(username) => sessions(source, username).await?,
        Question::Activities(query) => {
            Answer::Activities(source.activities(&query, None, ACTIVITIES).await?)
        }
    })
}

async fn online(source: &dyn Source) -> Result<Answer> {
    let mut page = source.online(None, PAGE).await?;
    let mut users = page.users;
    while let Some(cursor) = &page.next_cursor
        && users.len() < MOST_ONLINE
    {
        page = source.online(Some(cursor), PAGE).await?;
        users.append(&mut page.users);
    }
    // Between two pages somebody may have come back, and would be there twice.
    users.sort_by_key(|user| user.user_id);
    users.dedup_by_key(|user| user.user_id);
    Ok(Answer::Online(
        page.total,
        users,
        page.next_cursor.is_some(),
    ))
}

async fn sessions(source: &dyn Source, username: Option<String>) -> Result<Answer> {
    let query = |open: bool| SessionQuery {
        username: username.clone(),
        open: Some(open),
    };
    let open = source.sessions(&query(true), None, OPEN).await?;
    let ended = source.sessions(&query(false), None, ENDED).await?;
    let has_more = open.next_cursor.is_some() || ended.next_cursor.is_some();
    let mut rows = open.sessions;
    // One that ended between the two questions is in both.
    rows.extend(ended.sessions);
    let mut known = std::collections::HashSet::new();
    rows.reverse();
    rows.retain(|row| known.insert(row.id.clone()));
    rows.reverse();
    Ok(Answer::Sessions(rows, has_more))
}
