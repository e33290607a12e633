import type { IncomingMessage } from 'node:http';

/**
 * The body of a request, as text.
 *
 * @param most bytes
 * @param refused makes an error of why it cannot be read: too large is 413, one that breaks off 400
 * @throws what `refused` makes
 */
export async function textOf(
  request: IncomingMessage,
  most: number,
  refused: (status: 400 | 413, why: string) => Error,
): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    // To its end, even if it is too large: who still writes does not read the answer.
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size <= most) chunks.push(chunk);
    }
  } catch (error) {
    throw refused(400, (error as Error).message);
  }
  if (size > most) throw refused(413, `it is larger than ${most} bytes; send less`);
  return Buffer.concat(chunks).toString('utf8');
}
