/**
 * civic.band: agendas and minutes of municipalities, one page of a document a row, from the Datasette of each municipality. Data only; the list of
 * subdomains is the user's (`sources.civicband.subdomains` in backfill.yaml). Every fact names its place in civic.band's own code: corkboard serves it,
 * clerk builds the databases, Datasette answers.
 */
import { defineSource } from '../definition/define-source.js'

/** Datasette 1.0 counts with `limit 10001`: this value says "at least" (datasette/views/table_extras.py, CountExtra). */
const countCap = 10_001

export default defineSource({
  source: 'civicband',
  // One host per municipality; an unknown one is answered with 302 to the home page, which no fate below forgives (corkboard,
  // django_plugins/datasette_by_subdomain.py, send_redirect_to_home).
  baseUrl: 'https://{subdomain}.civic.band',
  budget: {
    // Without a key: a fixed window of 60 s per IP, over all municipalities together (corkboard, api_key_auth.py, check_rate_limit).
    limits: ['15/minute'],
    // Over the limit is 402 with no Retry-After; 429 is never sent today, and would mean the same (make_402_rate_limit_response).
    refusals: [402, 429],
    // Per IP, not per host or credential: all subdomains and all workspaces of this machine count together.
    key: 'civic.band',
  },
  dimensions: {
    subdomain: { config: 'subdomains' },
    // The tables of meetings.db (clerk, utils.py, create_meetings_schema); the singular is what people and older tools write.
    document_type: { values: ['agendas', 'minutes'], aliases: { agenda: 'agendas', minute: 'minutes' } },
  },
  streams: {
    meeting_page: {
      request: {
        path: '/meetings/{document_type}.json',
        // Datasette 1.0 counts only when asked; 0.x ignores the parameter and counts anyway (datasette/views/table.py).
        query: { _extra: 'count' },
      },
      answer: {
        rows: 'rows',
        // Objects in 1.0; in 0.x arrays, named by `columns` (datasette 0.65, views/table.py l.782-806).
        shape: 'auto',
        header: 'columns',
        // A challenge page of the bot policy is HTML with status 200 (corkboard, botPolicy.yaml): JSON's own media type is all that is accepted.
        errors: [{ path: 'ok', equals: false, message: 'error', fate: 'retry' }],
      },
      // `next` is an opaque token and null at the end. Nothing else is an end: whoever has no key gets at most 100 rows for any `_size`, and no
      // word about it (corkboard, cap_result_size; datasette, docs/json_api.rst, pagination).
      paginate: { cursor: 'next', param: '_next', size: '_size' },
      // Datasette's max_returned_rows, the most that may be asked: more is a 400.
      pageSize: 1000,
      // A query over sql_time_limit_ms (3 s) is a 400, "SQL Interrupted"; another minute it may be quicker (datasette, QueryInterrupted).
      statuses: { 400: 'retry' },
      count: [
        // 1.0: exact for any size, and for no row. `document_type` is one of two words, so nothing foreign enters the SQL.
        {
          request: {
            path: '/meetings/-/query.json',
            query: { sql: 'select count(*) as n from {document_type}', _shape: 'array' },
          },
          from: '[0].n',
        },
        // Comes with every page of a walk.
        { from: 'count', exactBelow: countCap },
        // 0.x: exact, or null where counting took too long (datasette 0.65, views/table.py).
        { from: 'filtered_table_rows_count' },
      ],
      // `id` is a hash of the content: new text is a new id for the same page, and equal pages of two municipalities share one (clerk, utils.py,
      // process_page_for_db). What stays is the place in the document.
      key: ['subdomain', 'document_type', 'meeting', 'date', 'page'],
      // Pages that a municipality withdraws, and old ids of changed pages, go when a walk is proven complete.
      disposition: 'mirror',
      columns: {
        subdomain: { type: 'text', dimension: 'subdomain' },
        document_type: { type: 'text', dimension: 'document_type' },
        meeting: 'text',
        // Text on purpose. At the source a date is a folder's name (clerk, utils.py, collect_page_files), nearly always YYYY-MM-DD but not checked. As
        // a `date` a malformed one would be held, and a held row without its key keeps every walk of that municipality unproven for ever; "2024-1-2" and
        // "2024-01-02" are two folders and would become one key. As text nothing is lost, ISO dates sort and compare, and `date::date` casts them.
        date: 'text',
        page: 'int',
        id: 'text',
        // Blank pages are empty strings.
        text: 'text',
        page_image: 'text',
        // JSON in strings, filled in later without a new id (clerk, utils.py, load_extraction_cache): updates, not new rows.
        entities: { type: 'jsonb', from: 'entities_json', parse: 'json' },
        votes: { type: 'jsonb', from: 'votes_json', parse: 'json' },
      },
    },
  },
})
