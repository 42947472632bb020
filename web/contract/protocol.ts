// Holds the page's types against the server's documents: it compiles only if each field that the page knows is there,
// by that name and of that type.
import type * as page from '../src/shared/protocol';
import type { Events, OpenAPI } from './generated/schemas';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Whether what the schema says is what the page takes; a page may take any string where only some are sent. */
type Reads<P, S> =
  Same<P, S> extends true ? true : Same<P, string> extends true ? ([S] extends [string] ? true : false) : false;
type Optional<T, K extends keyof T> = Record<never, never> extends Pick<T, K> ? true : false;

/** The paths of fields of a page's type P that are not what the schema S says; never, if there are none. */
type Wrong<P, S, Path extends string = ''> =
  Reads<P, S> extends true
    ? never
    : null extends P
      ? null extends S
        ? Wrong<NonNullable<P>, NonNullable<S>, Path>
        : `${Path} is never null`
      : null extends S
        ? `${Path} may be null`
        : [P, S] extends [(infer A)[], (infer B)[]]
          ? Wrong<A, B, `${Path}[]`>
          : [P, S] extends [object, object]
            ? WrongIn<P, S, Path>
            : `${Path} is of another type`;

/** As Wrong, of objects. Of several kinds of objects each is compared with that of its type. */
type WrongIn<P, S, Path extends string> = P extends { type: infer T extends string }
  ? [Extract<S, { type: T }>] extends [never]
    ? `${Path} has no type ${T}`
    : WrongFields<P, Extract<S, { type: T }>, Path>
  : WrongFields<P, S, Path>;

type WrongFields<P, S, Path extends string> = {
  [K in keyof P & string]-?: K extends keyof S
    ? Optional<S, K> extends true
      ? Optional<P, K> extends true
        ? Wrong<Exclude<P[K], undefined>, Exclude<S[K], undefined>, `${Path}.${K}`>
        : `${Path}.${K} may be absent`
      : Wrong<Exclude<P[K], undefined>, S[K], `${Path}.${K}`>
    : `${Path}.${K} is not in the document`;
}[keyof P & string];

type Right<T extends never> = T;

export interface Checked {
  User: Right<Wrong<page.User, OpenAPI['User']>>;
  Session: Right<Wrong<page.Session, OpenAPI['Session']>>;
  Failure: Right<Wrong<page.Failure, NonNullable<OpenAPI['Failure']>>>;
  Refusal: Right<Wrong<Pick<page.Refusal, 'code' | 'detail' | 'field'>, OpenAPI['Problem']>>;
  Attachment: Right<Wrong<page.Attachment, OpenAPI['File']>>;
  Message: Right<Wrong<page.Message, OpenAPI['Message']>>;
  Price: Right<Wrong<page.Price, NonNullable<OpenAPI['Price']>>>;
  ModelPrice: Right<Wrong<page.ModelPrice, OpenAPI['ModelPrice']>>;
  ModelList: Right<Wrong<page.ModelList, OpenAPI['ModelList']>>;
  Warning: Right<Wrong<page.Warning, OpenAPI['Warning']>>;
  Limits: Right<Wrong<page.Limits, OpenAPI['Limits']>>;
  UserSettings: Right<Wrong<page.UserSettings, OpenAPI['UserSettings']>>;
  Endpoint: Right<Wrong<page.Endpoint, OpenAPI['Provider']>>;
  UsageSum: Right<Wrong<page.UsageSum, OpenAPI['UsageSum']>>;
  MessageChanges: Right<Wrong<page.Changes<page.Message>, OpenAPI['MessageChanges']>>;
  SessionChanges: Right<Wrong<page.Changes<page.Session>, OpenAPI['SessionChanges']>>;
  ServerEvent: Right<Wrong<page.ServerEvent, Events[keyof Events]>>;
  /** The kinds of events that the page does not know. */
  missed: Right<Exclude<keyof Events, page.ServerEvent['type']>>;
  // Parts that the page would leave out:
  parts: Right<Exclude<OpenAPI['Part']['type'], page.Part['type']>>;
}

/** That the comparison finds what is wrong. */
type Found<T, Words> = Same<T, Words>;
export type Self = [
  Found<Wrong<{ a: string }, { b: string }>, '.a is not in the document'>,
  Found<Wrong<{ a: string }, { a: number }>, '.a is of another type'>,
  Found<Wrong<{ a: 'x' }, { a: 'x' | 'y' }>, '.a is of another type'>,
  Found<Wrong<{ a: string }, { a: 'x' | 'y' }>, never>,
  Found<Wrong<{ a: string }, { a?: string }>, '.a may be absent'>,
  Found<Wrong<{ a: { b: string }[] }, { a: { b: string | null }[] }>, '.a[].b may be null'>,
  Found<Wrong<{ a: { b?: string } | null }, { a: { c?: string } | null }>, '.a.b is not in the document'>,
  Found<Wrong<{ type: 'x' } | { type: 'y' }, { type: 'x' }>, ' has no type y'>,
  Found<Wrong<{ a?: string }, { a: string; b: string }>, never>,
] extends true[]
  ? true
  : never;
export const self: Self = true;
