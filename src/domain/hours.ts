/** Hours of the day in which something may be begun. Pure. */

/** Spans of local time, in minutes since midnight; a span whose end is not later than its beginning goes over midnight. */
export type Hours = readonly { readonly from: number; readonly to: number }[]
