import { describe, expect, test } from 'vitest';
import { findGroup, findUser, groupsOf } from '../../src/process/users.ts';

const PASSWD = `root:x:0:0:root:/root:/bin/bash
# a comment
www:x:33:33:www:/var/www:/usr/sbin/nologin
bare:x:50:60:::
1000:x:51:61:a name of digits:/home/digits:/bin/sh
broken:x:none:1::/:/bin/sh
short:x:1
`;
const GROUP = 'root:x:0:\nwww:x:33:\nssl:x:101:www,bare\naudio:x:29:bare,wwwx\nvideo:x:44:www\n';

describe('users', () => {
  test('are found by name and by number', () => {
    const www = { name: 'www', uid: 33, gid: 33, home: '/var/www', shell: '/usr/sbin/nologin' };
    expect(findUser(PASSWD, 'www')).toEqual(www);
    expect(findUser(PASSWD, '33')).toEqual(www);
    expect(findUser(PASSWD, 'bare')).toEqual({ name: 'bare', uid: 50, gid: 60, home: '/', shell: '/bin/sh' });
  });

  test('a name of digits is a name first', () => {
    expect(findUser(PASSWD, '1000')).toMatchObject({ name: '1000', uid: 51 });
  });

  test('a number needs no entry', () => {
    expect(findUser('', '1234')).toEqual({ name: null, uid: 1234, gid: 1234, home: '/', shell: null });
  });

  test.each(['nobody-here', 'broken', 'short', '', '-1', '4294967295', '99999999999', '1.5', '# a comment'])(
    '%j is none',
    (name) => {
      expect(findUser(PASSWD, name)).toBeNull();
    },
  );
});

describe('groups', () => {
  test('are found by name and by number', () => {
    expect(findGroup(GROUP, 'ssl')).toBe(101);
    expect(findGroup(GROUP, '101')).toBe(101);
    expect(findGroup(GROUP, '7777')).toBe(7777);
    expect(findGroup(GROUP, 'none')).toBeNull();
  });

  test('those of a user are those that list it by its whole name', () => {
    expect(groupsOf(GROUP, 'www')).toEqual([101, 44]);
    expect(groupsOf(GROUP, 'bare')).toEqual([101, 29]);
    expect(groupsOf(GROUP, 'root')).toEqual([]);
  });
});
